package ppp

// A Cause says why a session ended, by RFC 2866's numbers (section 5.10, Acct-Terminate-Cause).
type Cause uint8

const (
	UserRequest    Cause = 1
	LostCarrier    Cause = 2
	IdleTimeout    Cause = 4
	SessionTimeout Cause = 5
	AdminReset     Cause = 6
	AdminReboot    Cause = 7
	NASError       Cause = 9
	NASRequest     Cause = 10
	UserError      Cause = 17
)

// String returns the name in RFC 2866.
func (c Cause) String() string {
	switch c {
	case UserRequest:
		return "User-Request"
	case LostCarrier:
		return "Lost-Carrier"
	case IdleTimeout:
		return "Idle-Timeout"
	case SessionTimeout:
		return "Session-Timeout"
	case AdminReset:
		return "Admin-Reset"
	case AdminReboot:
		return "Admin-Reboot"
	case NASError:
		return "NAS-Error"
	case NASRequest:
		return "NAS-Request"
	case UserError:
		return "User-Error"
	}
	return "Unknown"
}
