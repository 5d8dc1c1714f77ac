// Package main only makes FerretDB a dependency of this module, so that its
// program can be built from the Go module proxy: see ../ferretdb.sh.
package main

import _ "github.com/FerretDB/FerretDB/cmd/ferretdb"

func main() {}
