package profiles

import (
	"bytes"

	"gopkg.in/yaml.v3"
)

// hostPaths says of each bind mount that its folder is to be made where there is
// none, unless the compose files say otherwise. That is what Compose does with
// `/srv/data:/data`; written out in full it is left to the version that reads
// it, and Debian's 2.26 takes it for no.
func hostPaths(project []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(project, &doc); err != nil {
		return nil, err
	}
	found := false
	for _, service := range valuesOf(valueOf(doc.Content[0], "services")) {
		for _, mount := range elementsOf(valueOf(service, "volumes")) {
			bind := valueOf(mount, "bind")
			if kind := valueOf(mount, "type"); kind == nil || kind.Value != "bind" || valueOf(bind, "create_host_path") != nil {
				continue
			}
			if bind == nil {
				bind = &yaml.Node{Kind: yaml.MappingNode}
				mount.Content = append(mount.Content, scalar("bind"), bind)
			}
			bind.Style &^= yaml.FlowStyle // it was {}
			bind.Content = append(bind.Content, scalar("create_host_path"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
			found = true
		}
	}
	if !found {
		return project, nil
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := e.Encode(&doc)
	return out.Bytes(), err
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// valueOf is what a mapping has for a key, nil for none.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func valuesOf(n *yaml.Node) (out []*yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 1; i < len(n.Content); i += 2 {
		out = append(out, n.Content[i])
	}
	return out
}

func elementsOf(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}
