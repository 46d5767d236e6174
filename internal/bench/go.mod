module github.com/dialway/dialway/internal/bench

go 1.26.3

require github.com/dialway/dialway v0.0.0-00010101000000-000000000000

require (
	github.com/gaissmai/bart v0.30.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/dialway/dialway => ../..
