module openim.dev/ferretdb

go 1.21

require github.com/FerretDB/FerretDB v1.24.2
