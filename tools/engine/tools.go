//go:build tools

// Package tools names the Pulumi engine (the CLI) that tests and the demo build
// where no pulumi is on PATH and the vendor's installer cannot be reached.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
