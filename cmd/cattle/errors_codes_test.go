package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cattle/docs"
	"cattle/droplets"
)

// TestEveryCodeIsExplained: what failures are told with, in the source, and the
// sections of the pages are the same.
func TestEveryCodeIsExplained(t *testing.T) {
	want := map[string][]string{
		docs.Errors:      slices.Sorted(slices.Values(append(codesIn(t, codeOf, ".", "../../droplets/release"), codesOfData()...))),
		docs.Diagnostics: codesIn(t, codeOfFault, ".", "../../profiles"),
	}
	for _, s := range docs.Sections() {
		if !slices.Contains(want[s.Page], s.Code) {
			t.Errorf("docs/%s explains %s, which nothing is told with", s.Page, s.Code)
		}
		want[s.Page] = slices.DeleteFunc(want[s.Page], func(c string) bool { return c == s.Code })
		if s.Gist == "" || s.Group == "" {
			t.Errorf("docs/%s: %s has no first sentence, or stands below no heading", s.Page, s.Code)
		}
	}
	for page, codes := range want {
		for _, code := range slices.Compact(codes) {
			t.Errorf("docs/%s does not explain %s", page, code)
		}
	}
}

// codesOfData are those that no source has as a word: what droplets say of
// their data, and the one of a budget that several steps share.
func codesOfData() []string {
	return []string{"freeze-too-long", droplets.StateMigrate, "state-" + droplets.StateDiskFull, "state-" + droplets.StateWrongPassword,
		"state-" + droplets.StateServerOlder, "state-" + droplets.StateCut, "state-" + droplets.StateEntryMissing, "state-" + droplets.StateNotEqual,
		"state-" + droplets.StateLapsed, "state-" + droplets.StateRepository, "state-" + droplets.StateEngine,
		"state-" + droplets.StateVolumeBusy, "state-" + droplets.StateVolumeMissing}
}

// codesIn are the codes that the source of some packages has, sorted.
func codesIn(t *testing.T, codeOf func(ast.Node) []ast.Expr, dirs ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				for _, e := range codeOf(n) {
					if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING && lit.Value != `""` {
						found[strings.Trim(lit.Value, `"`)] = true
					}
				}
				return true
			})
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// codeOf are the expressions of a node that stand where a code does.
func codeOf(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if k := named(n.Key); k == "Code" || k == "code" {
			return []ast.Expr{n.Value}
		}
	case *ast.AssignStmt:
		if k := named(n.Lhs[0]); k == "Code" || k == "code" {
			return n.Rhs
		}
	case *ast.CallExpr:
		if named(n.Fun) == "kind" {
			return n.Args[:1]
		}
	case *ast.CompositeLit:
		if k := named(n.Type); len(n.Elts) > 0 && (k == "cure" || k == "Known") {
			return n.Elts[:1]
		}
		if list, ok := n.Type.(*ast.ArrayType); ok && named(list.Elt) == "telltale" {
			var out []ast.Expr
			for _, e := range n.Elts {
				out = append(out, e.(*ast.CompositeLit).Elts[1])
			}
			return out
		}
	case *ast.FuncDecl:
		if n.Name.Name == "kindOf" {
			var out []ast.Expr
			ast.Inspect(n, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok {
					out = append(out, r.Results[0])
				}
				return true
			})
			return out
		}
	}
	return nil
}

// codeOfFault is codeOf for faults of a profile.
func codeOfFault(n ast.Node) []ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if ok && slices.Contains([]string{"errorf", "warnf", "whole", "wrong", "missing", "Fault"}, named(call.Fun)) {
		return call.Args[:1]
	}
	return nil
}

func named(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// faultBlock is an example of docs/diagnostics.md: a file, and its name.
