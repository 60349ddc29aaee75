// What Docker itself would make of the files in deploy/, as JSON: Compose's own loader, BuildKit's own Dockerfile parser.
//
//	parse compose FILE
//	parse dockerfile FILE
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func compose(file string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file},
		cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithProfiles([]string{"*"}), cli.WithDiscardEnvFile)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

type line struct {
	Stage       int    `json:"stage"`
	Instruction string `json:"instruction"`
	Source      string `json:"source"`
}

func dockerfile(file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for _, warning := range tree.Warnings {
		return nil, fmt.Errorf("line %v: %s", warning.Location, warning.Short)
	}
	var complaint error
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		complaint = fmt.Errorf("%s: %s: %v", rule, message, at)
	}})
	stages, arguments, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		return nil, err
	}
	if complaint != nil {
		return nil, complaint
	}
	lines := []line{}
	for _, argument := range arguments {
		lines = append(lines, line{-1, argument.Name(), argument.String()})
	}
	for number, stage := range stages {
		lines = append(lines, line{number, "FROM", stage.SourceCode})
		for _, command := range stage.Commands {
			source := fmt.Sprint(command)
			lines = append(lines, line{number, command.Name(), source})
		}
	}
	return lines, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: parse compose|dockerfile FILE")
		os.Exit(2)
	}
	reader := map[string]func(string) (any, error){"compose": compose, "dockerfile": dockerfile}[os.Args[1]]
	found, err := reader(os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
