package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNeverPrints(t *testing.T) {
	const hidden = "hunter2"
	v := struct {
		Name     string
		Password String
	}{"alice", hidden}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "password", v.Password, "all", v)
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		for _, arg := range []any{v.Password, v, &v, []String{hidden}, map[string]String{"k": hidden}} {
			if s := fmt.Sprintf(verb, arg); strings.Contains(s, hidden) || strings.Contains(strings.ToLower(s), fmt.Sprintf("%x", hidden)) {
				t.Errorf("%s of %T prints the secret: %s", verb, arg, s)
			}
		}
	}
	for _, s := range []string{log.String(), string(text)} {
		if strings.Contains(s, hidden) {
			t.Errorf("the secret stands in %s", s)
		}
	}
	if string(v.Password) != hidden {
		t.Error("a conversion must give the secret")
	}
}
