// Bench measures the data path beside other tunnels, on this machine and in one run: what counts is the ratio. See main.go.
//
//	go run ./internal/bench [-short]                # root: network namespaces, real peers
//	go test -run - -bench . ./internal/bench        # no root: packets through a session, beside a copy by crypto/tls
package main
