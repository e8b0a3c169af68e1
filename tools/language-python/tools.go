//go:build tools

// Package tools names the host that lets the engine run Python programs. Later
// releases of it carry no tag that the Go module proxy serves.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
