package manual

import (
	"cmp"
	"slices"
	"strings"
)

// A Candidate is a word that may stand where the cursor is.
type Candidate struct{ Word, Says string }

// A Wish is what completes a command line.
type Wish struct {
	// Candidates are known from the description alone.
	Candidates []Candidate
	// Kind is what else may stand there, as the description calls it: VERSION,
	// SERVICE, FILE. "" is nothing.
	Kind string
	// Command is the one that was typed so far, Given its flags, by their first
	// names, and Words its arguments.
	Command Topic
	Given   map[string]string
	Words   []string
	// Typed is what there is of the word, and Prefix what stands before it in
	// the same word of the shell: --to=.
	Typed, Prefix string
}

// Complete reads the words behind the program's name up to the cursor; the last
// one is what is typed of a word, perhaps nothing yet. Candidates are not
// narrowed down to what begins so: Narrow does.
func Complete(root Topic, words []string) Wish {
	words, split := joined(words)
	last := len(words) - 1
	w := Wish{Command: root, Given: map[string]string{}, Typed: words[last]}
	for i := 0; i < last; i++ {
		word := words[i]
		flag, value, whole := w.flag(word)
		switch {
		case word == "--":
			return w.argument(append(w.Words, words[i+1:last]...))
		case flag == nil && len(w.Words) == 0:
			w.enter(word)
		case flag == nil:
			w.Words = append(w.Words, word)
		case whole || flag.Value == "":
			w.Given[flag.Names[0]] = value
		case i+1 == last:
			return w.value(*flag)
		default:
			i++
			w.Given[flag.Names[0]] = words[i]
		}
	}
	if flag, value, whole := w.flag(w.Typed); whole {
		if w.Typed, w.Prefix = value, strings.TrimSuffix(w.Typed, value); split {
			w.Prefix = ""
		}
		return w.value(*flag)
	}
	// The library takes flags before arguments alone.
	if strings.HasPrefix(w.Typed, "-") && len(w.Words) == 0 {
		return w.flags()
	}
	return w.argument(w.Words)
}

// joined puts together what bash takes apart at an equals sign: --to = live.
// split says that the last word was: bash's own is what stands behind the sign.
func joined(words []string) (out []string, split bool) {
	if len(words) == 0 {
		return []string{""}, false
	}
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(out) == 0 || !strings.HasPrefix(out[len(out)-1], "--") {
			out = append(out, words[i])
			continue
		}
		out[len(out)-1] += "="
		if i++; i < len(words) {
			out[len(out)-1] += words[i]
		}
		split = i >= len(words)-1
	}
	return out, split
}

// enter takes a word for a command, or else for an argument.
func (w *Wish) enter(word string) {
	if t, ok := w.Command.Find(word); ok {
		w.Command, w.Given = t, map[string]string{}
		return
	}
	w.Words = append(w.Words, word)
}

// flag is the one that a word names; whole says that its value is in the word.
func (w *Wish) flag(word string) (f *Flag, value string, whole bool) {
	name, value, whole := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if !strings.HasPrefix(word, "-") {
		return nil, "", false
	}
	i := slices.IndexFunc(w.Command.Flags, func(f Flag) bool { return slices.Contains(f.Names, name) })
	if i < 0 {
		return &Flag{Names: []string{name}}, value, whole
	}
	return &w.Command.Flags[i], value, whole
}

func (w Wish) value(f Flag) Wish {
	for _, c := range f.Choices {
		w.Candidates = append(w.Candidates, Candidate{Word: c})
	}
	w.Kind = f.Value
	if len(f.Choices) > 0 {
		w.Kind = ""
	}
	return w
}

// flags are those that were not given yet.
func (w Wish) flags() Wish {
	for _, f := range w.Command.Flags {
		if _, given := w.Given[f.Names[0]]; !given {
			w.Candidates = append(w.Candidates, Candidate{dashed(f.Names[0]), f.Usage})
		}
	}
	return w
}

// argument is what stands behind the others. Of [SERVICE|nginx|mail...] the
// words in capitals are kinds; the first one counts.
func (w Wish) argument(before []string) Wish {
	w.Words = before
	if len(before) == 0 {
		for _, t := range w.Command.Topics {
			w.Candidates = append(w.Candidates, Candidate{t.Word(), t.Usage})
		}
	}
	places := strings.Fields(w.Command.Args)
	if len(places) == 0 {
		return w
	}
	at := len(before)
	if last := len(places) - 1; at > last && strings.Contains(places[last], "...") {
		at = last
	}
	if at >= len(places) {
		return w
	}
	for word := range strings.SplitSeq(strings.NewReplacer("[", "", "]", "", "...", "").Replace(places[at]), "|") {
		if word == strings.ToUpper(word) {
			w.Kind = cmp.Or(w.Kind, word)
			continue
		}
		w.Candidates = append(w.Candidates, Candidate{Word: word})
	}
	return w
}

// Narrow leaves the candidates that begin as the typed word does, in their
// order, once each, with the prefix that the shell's word has.
func (w Wish) Narrow(more ...Candidate) (out []Candidate) {
	seen := map[string]bool{"": true}
	for _, c := range slices.Concat(w.Candidates, more) {
		if strings.HasPrefix(c.Word, w.Typed) && !seen[c.Word] {
			seen[c.Word] = true
			out = append(out, Candidate{w.Prefix + c.Word, c.Says})
		}
	}
	return out
}
