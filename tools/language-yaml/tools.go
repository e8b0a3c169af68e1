//go:build tools

// Package tools names the host that lets the engine run YAML programs.
package tools

import _ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
