module github.com/dialway/dialway

go 1.26.0

require (
	github.com/gaissmai/bart v0.30.0
	golang.org/x/net v0.62.0
)

require golang.org/x/crypto v0.58.0
