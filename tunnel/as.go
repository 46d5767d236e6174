package tunnel

// As returns w as a T, or else the first that is one of the links that w wraps. A Link that wraps another and is not all
// that the other is says what it wraps by a method Unwrap() Link.
func As[T any](w PacketWriter) (t T, ok bool) {
	for w != nil {
		if t, ok = w.(T); ok {
			return t, true
		}
		wrapper, wraps := w.(interface{ Unwrap() Link })
		if !wraps {
			break
		}
		w = wrapper.Unwrap()
	}
	return t, false
}
