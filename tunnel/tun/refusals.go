package tun

// Some kernels answer EINVAL to joined packets that others take. Joining is given up when the refusals, which weigh
// refusalWeight, outweigh what has been taken: eight in a row, or more than one in 16. A packet that is none, which is
// refused as well, does not do that.
const (
	refusalWeight = 16
	maxRefusals   = 8 * refusalWeight
)

// refusals counts them.
type refusals int

func (r *refusals) taken()       { *r = max(*r-1, 0) }
func (r *refusals) refused()     { *r += refusalWeight }
func (r *refusals) giveUp() bool { return *r >= maxRefusals }
