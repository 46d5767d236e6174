// Package secret has a string that does not print.
package secret

import "log/slog"

// A String is a secret. It prints as REDACTED in every verb of fmt, in slog and in JSON; string(s) is the secret.
type String string

const redacted = "REDACTED"

// String returns "REDACTED", also for %q and %v; an empty secret prints as "".
func (s String) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps the secret out of %#v.
func (s String) GoString() string { return `"` + s.String() + `"` }

// LogValue keeps the secret out of slog records.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON and TOML that is written.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
