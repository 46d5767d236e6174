package demanddial

import (
	"fmt"
	"time"

	"github.com/dialway/dialway/internal/hours"
)

// ParseHours reads weekly windows such as "Mon-Fri 08:00-12:00 13:00-18:00, Sat 22:00-02:00 Europe/Berlin" or "daily
// 20:00-06:00", for Interface.Hours. They are times of the wall clock of the zone at the end, or of the system's: when
// clocks are put forward the hour that is skipped has no time in it, and when they are put back the hour that comes twice
// counts both times. A window that ends before it begins ends on the next day.
func ParseHours(s string) (func(time.Time) bool, error) {
	h, err := hours.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("demanddial: %w", err)
	}
	return h.Contains, nil
}
