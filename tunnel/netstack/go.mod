module github.com/dialway/dialway/tunnel/netstack

go 1.26.3

require (
	github.com/dialway/dialway v0.0.0
	golang.org/x/net v0.62.0
	gvisor.dev/gvisor v0.0.0-20260905035102-160fafc42237
)

require (
	github.com/gaissmai/bart v0.30.0 // indirect
	github.com/google/btree v1.1.2 // indirect
	golang.org/x/exp v0.0.0-20250711185948-6ae5c78190dc // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

// The module is developed beside the root module; a user's build takes the version that is required.
replace github.com/dialway/dialway => ../..
