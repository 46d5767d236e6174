package hostdns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/godbus/dbus/v5"
)

// resolved speaks to systemd-resolved, whose API is org.freedesktop.resolve1(5). What is set belongs to the device, and goes
// with it.
type resolved struct{ bus string }

const (
	resolvedName = "org.freedesktop.resolve1"
	manager      = resolvedName + ".Manager"
)

// A linkServer is (iay) and a linkDomain (sb) of that API.
type linkServer struct {
	Family int32
	Addr   []byte
}

type linkDomain struct {
	Name      string
	RouteOnly bool // false: searched, too
}

// call calls methods of the manager, one after the other.
func (r *resolved) call(ctx context.Context, calls ...func(m dbus.BusObject) *dbus.Call) error {
	var conn *dbus.Conn
	var err error
	if r.bus == "" {
		conn, err = dbus.ConnectSystemBus(dbus.WithContext(ctx))
	} else {
		conn, err = dbus.Connect(r.bus, dbus.WithContext(ctx))
	}
	if err != nil {
		return fmt.Errorf("hostdns: no D-Bus (%w): %w", err, errors.ErrUnsupported)
	}
	defer conn.Close()
	// Asking is not enough to start it: a host that has it installed and does not use it resolves names in another way.
	var here bool
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolvedName).Store(&here); err != nil {
		return fmt.Errorf("hostdns: D-Bus: %w", err)
	}
	if !here {
		return fmt.Errorf("hostdns: systemd-resolved does not run: %w", errors.ErrUnsupported)
	}
	m := conn.Object(resolvedName, "/org/freedesktop/resolve1")
	for _, c := range calls {
		if err := c(m).Err; err != nil {
			return fmt.Errorf("hostdns: systemd-resolved: %w", err)
		}
	}
	return nil
}

func (r *resolved) set(ctx context.Context, s *state, servers []netip.Addr, domains []string) error {
	if s.Index == 0 {
		return fmt.Errorf("hostdns: there is no device %s: %w", s.Device, errors.ErrUnsupported)
	}
	var list []linkServer
	for _, a := range servers {
		family := int32(2) // AF_INET
		if a.Is6() {
			family = 10
		}
		list = append(list, linkServer{family, a.AsSlice()})
	}
	var names []linkDomain
	for _, d := range domains {
		names = append(names, linkDomain{d, false})
	}
	index := int32(s.Index)
	return r.call(ctx,
		func(m dbus.BusObject) *dbus.Call {
			return m.CallWithContext(ctx, manager+".SetLinkDNS", 0, index, list)
		},
		func(m dbus.BusObject) *dbus.Call {
			return m.CallWithContext(ctx, manager+".SetLinkDomains", 0, index, names)
		},
		// Names of the rest of the world stay with who has them now.
		func(m dbus.BusObject) *dbus.Call {
			return m.CallWithContext(ctx, manager+".SetLinkDefaultRoute", 0, index, false)
		})
}

func (r *resolved) undo(ctx context.Context, s *state) error {
	if s.Index == 0 || indexOf(s.Device) != s.Index {
		return nil // it went with the device
	}
	err := r.call(ctx, func(m dbus.BusObject) *dbus.Call {
		return m.CallWithContext(ctx, manager+".RevertLink", 0, int32(s.Index))
	})
	var e dbus.Error
	if errors.As(err, &e) && e.Name == resolvedName+".NoSuchLink" || errors.Is(err, errors.ErrUnsupported) {
		return nil // the device has gone in between, or it has ended, and forgets
	}
	return err
}
