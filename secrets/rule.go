package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/version"
	"gopkg.in/yaml.v3"
)

// RuleFile is the name of the file in which sops looks who can read a new file.
const RuleFile = ".sops.yaml"

// NewRule is a RuleFile that names who can read the secrets file of that name.
func NewRule(name string, recipients ...string) []byte {
	return fmt.Appendf(nil, `# Who can read %[1]s: cattle secrets recipients. sops reads this too.
creation_rules:
  - path_regex: (^|/)%[2]s$
    age: %[3]s
`, name, regexp.QuoteMeta(name), strings.Join(recipients, ","))
}

// Rule is the RuleFile that counts for the secrets file at path, in its folder
// or above; "" without one.
func Rule(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	found, err := config.FindConfigFile(abs)
	if err != nil {
		return ""
	}
	return found
}

// metadataFor is what a new file at path begins with: what its rule says, and
// without one the operator's own first key.
func metadataFor(path string) (sops.Metadata, error) {
	m := sops.Metadata{Version: version.Version}
	rule, abs, err := ruleFor(path)
	if err != nil {
		return m, err
	}
	if rule != nil {
		m.KeyGroups, m.ShamirThreshold = rule.KeyGroups, rule.ShamirThreshold
		m.MACOnlyEncrypted = rule.MACOnlyEncrypted
	}
	if m.MasterKeyCount() > 0 {
		return m, nil
	}
	own, err := OwnRecipients(os.Getenv)
	if err != nil {
		return m, err
	}
	if len(own) == 0 {
		return m, &InputError{path, "it is not there yet, and nothing says who could read it", "cattle init makes a key and a " + RuleFile}
	}
	k, err := ageKey(own[0])
	if err != nil {
		return m, fmt.Errorf("%s: %w", abs, err)
	}
	m.KeyGroups = []sops.KeyGroup{{k}}
	return m, nil
}

// ruleFor reads the rule for a file; nil where there is none.
func ruleFor(path string) (rule *config.Config, abs string, err error) {
	if abs, err = filepath.Abs(path); err != nil {
		return nil, "", err
	}
	file := Rule(path)
	if file == "" {
		return nil, abs, nil
	}
	if _, err := readFile(file); err != nil {
		return nil, abs, err // sops would wait for a fifo's writer
	}
	rule, err = config.LoadCreationRuleForFile(file, abs, nil)
	if err != nil && strings.Contains(err.Error(), "no matching creation rules") {
		return nil, abs, nil
	}
	if err != nil {
		return nil, abs, &InputError{file, "sops cannot read it: " + err.Error(), "see https://getsops.io/docs/#using-sopsyaml-conf-to-select-kms-pgp-and-age-for-new-files"}
	}
	return rule, abs, nil
}

// ErrRule says that a rule file has no rule for the file that could be changed
// by itself.
var ErrRule = errors.New("it has no rule for this file with a plain list of age keys")

// UpdateRule keeps the rule of the secrets file at path in step with the file:
// add and remove are recipients, or empty. It returns the rule's file, "" when
// there is none, and whether that was changed. What the rule says then is held
// against what was asked for before anything is written; ErrRule leaves it to
// the operator.
func UpdateRule(path, add, remove string) (file string, changed bool, err error) {
	if file = Rule(path); file == "" {
		return "", false, nil
	}
	raw, err := readFile(file)
	if err != nil {
		return file, false, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return file, false, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return file, false, ErrRule
	}
	rel := strings.TrimPrefix(abs, filepath.Dir(file)+string(filepath.Separator))
	list := ageList(&doc, rel)
	if list == nil {
		return file, false, ErrRule
	}
	before := recipientsOf(list)
	after := slices.DeleteFunc(slices.Clone(before), func(r string) bool { return r == remove })
	if add != "" && !slices.Contains(after, add) {
		after = append(after, add)
	}
	if slices.Equal(before, after) {
		return file, false, nil
	}
	if len(after) == 0 {
		return file, false, ErrRule
	}
	setRecipients(list, after)
	return file, true, writeRule(file, abs, &doc, after)
}

// writeRule writes the rules, if sops reads from them what was meant.
func writeRule(file, abs string, doc *yaml.Node, want []string) error {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return err
	}
	trial, err := os.CreateTemp(filepath.Dir(file), RuleFile+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(trial.Name())
	_, err = trial.Write(out.Bytes())
	if err := errors.Join(err, trial.Close()); err != nil {
		return err
	}
	rule, err := config.LoadCreationRuleForFile(trial.Name(), abs, nil)
	if err != nil || rule == nil {
		return ErrRule
	}
	for _, recipient := range want {
		if !slices.ContainsFunc(rule.KeyGroups, func(g sops.KeyGroup) bool { return slices.ContainsFunc(g, isRecipient(recipient)) }) {
			return ErrRule
		}
	}
	return replaceFile(file, out.Bytes())
}

// ageList is the node with the age keys of the first rule that fits, as sops
// chooses it: `age` of the rule, or of its only key group.
func ageList(doc *yaml.Node, rel string) *yaml.Node {
	if len(doc.Content) == 0 {
		return nil
	}
	rules := child(doc.Content[0], "creation_rules")
	if rules == nil {
		return nil
	}
	for _, rule := range rules.Content {
		if pattern := child(rule, "path_regex"); pattern != nil && pattern.Value != "" {
			re, err := regexp.Compile(pattern.Value)
			if err != nil {
				return nil
			}
			if !re.MatchString(rel) {
				continue
			}
		}
		if groups := child(rule, "key_groups"); groups != nil {
			if len(groups.Content) != 1 {
				return nil
			}
			rule = groups.Content[0]
		}
		return child(rule, "age")
	}
	return nil
}

// child is the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func recipientsOf(list *yaml.Node) (out []string) {
	for _, item := range list.Content {
		out = append(out, item.Value)
	}
	if list.Kind == yaml.ScalarNode {
		for r := range strings.SplitSeq(list.Value, ",") {
			out = append(out, strings.TrimSpace(r))
		}
	}
	return out
}

func setRecipients(list *yaml.Node, recipients []string) {
	if list.Kind == yaml.ScalarNode {
		list.Value = strings.Join(recipients, ",")
		return
	}
	kept := map[string]*yaml.Node{} // with their comments
	for _, item := range list.Content {
		kept[item.Value] = item
	}
	list.Content = nil
	for _, r := range recipients {
		item := kept[r]
		if item == nil {
			item = &yaml.Node{Kind: yaml.ScalarNode, Value: r}
		}
		list.Content = append(list.Content, item)
	}
}

// HasRule tells whether some RuleFile says who can read the secrets file at
// path, and which.
func HasRule(path string) (file string, fits bool, err error) {
	rule, _, err := ruleFor(path)
	return Rule(path), rule != nil, err
}
