module github.com/dialway/dialway/internal/interop

go 1.26.3

require github.com/dialway/dialway v0.0.0-00010101000000-000000000000

require golang.org/x/sys v0.50.0 // indirect

replace github.com/dialway/dialway => ../..
