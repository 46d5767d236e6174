module github.com/dialway/dialway

go 1.26.0
