package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// The shell of a stub machine knows words and quotes, and the few programs that
// an operator looks at a droplet with, each as far as its manual page says what
// it prints. There are no pipes, variables or patterns: such a line is refused.

// A place is where a command runs: on the machine itself, or in a container.
type place struct {
	*session
	container string // its name; "" is the machine
}

// command runs words as a shell does that was given them with -c.
func (p place) command(ctx context.Context, words []string) int {
	if len(words) == 0 {
		return 0
	}
	name, args := words[0], words[1:]
	if run := p.common(name); run != nil {
		return run(ctx, args)
	}
	if p.container == "" {
		if run := p.host(name); run != nil {
			return run(ctx, args)
		}
	}
	if strings.Contains(name, "/") {
		return p.fail(exitNotFound, "bash: line 1: %s: No such file or directory", name)
	}
	return p.fail(exitNotFound, "bash: line 1: %s: command not found", name)
}

// said are a program's own words of what is wrong.
type said string

func (s said) Error() string { return string(s) }

type program func(ctx context.Context, args []string) int

// common are the programs that machines and containers both have.
func (p place) common(name string) program {
	switch name {
	case "cat":
		return p.cat
	case "ls":
		return p.ls
	case "test":
		return p.test
	case "echo":
		return func(_ context.Context, args []string) int {
			fmt.Fprintln(p.stdout, strings.Join(args, " "))
			return 0
		}
	case "id":
		return func(context.Context, []string) int {
			fmt.Fprintln(p.stdout, "uid=0(root) gid=0(root) groups=0(root)")
			return 0
		}
	case "env":
		return func(context.Context, []string) int {
			fmt.Fprintf(p.stdout, "HOSTNAME=%s\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", p.hostname())
			return 0
		}
	case "hostname":
		return func(context.Context, []string) int { fmt.Fprintln(p.stdout, p.hostname()); return 0 }
	case "true", "false":
		return func(context.Context, []string) int { return map[string]int{"false": 1}[name] }
	case "exit":
		return exitProgram
	case "sh", "bash":
		return p.sh
	}
	return nil
}

// host are those of the machine alone.
func (p place) host(name string) program {
	switch name {
	case "journalctl":
		return p.journalctl
	case "tail":
		return p.tail
	case "tac":
		return p.tac
	case "tar":
		return p.tar
	case "docker":
		return p.docker
	case "df":
		return p.df
	case "sendmail", "/usr/sbin/sendmail":
		return p.sendmail
	case broughtScript:
		there := false
		p.with(func(d *droplet, _ time.Time) { there = p.cloud.seed(d).files[broughtScript] != nil })
		if there {
			return p.images
		}
	}
	return nil
}

func exitProgram(_ context.Context, args []string) int {
	if len(args) == 0 {
		return 0
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 2
	}
	return n & 0xff
}

func (p place) hostname() (name string) {
	p.with(func(d *droplet, _ time.Time) { name = d.Name })
	if p.container != "" {
		name = containerID(p.container)[:12]
	}
	return name
}

// sh runs -c LINE, or the lines that it reads.
func (p place) sh(ctx context.Context, args []string) int {
	if len(args) > 1 && args[0] == "-c" {
		return p.line(ctx, args[1])
	}
	if len(args) > 0 {
		return p.fail(2, "sh: 0: cannot open %s: No such file", args[0])
	}
	if p.terminal != nil {
		return p.interactive(ctx)
	}
	status := 0
	for in := bufio.NewScanner(p.stdin); in.Scan() && ctx.Err() == nil; {
		line := strings.TrimSpace(in.Text())
		status = p.line(ctx, line)
		if line == "exit" || strings.HasPrefix(line, "exit ") {
			break
		}
	}
	return status
}

// interactive is sh with somebody at a terminal.
func (p place) interactive(ctx context.Context) int {
	prompt := "# "
	if p.container == "" {
		prompt = "root@" + p.hostname() + ":~# "
	}
	p.terminal.SetPrompt(prompt)
	status := 0
	for ctx.Err() == nil {
		line, err := p.terminal.ReadLine()
		if err != nil {
			break
		}
		status = p.line(ctx, line)
		if words, _ := splitLine(line); len(words) > 0 && words[0] == "exit" {
			break
		}
		p.terminal.SetPrompt(prompt)
	}
	return status
}

func (p place) line(ctx context.Context, line string) int {
	words, err := splitLine(line)
	if err != nil {
		return p.fail(2, "bash: -c: line 1: %v", err)
	}
	return p.command(ctx, words)
}

// splitLine makes words of a line as a POSIX shell does (2.2, Quoting). What
// would need more than words is an error.
func splitLine(line string) (words []string, err error) {
	var word strings.Builder
	open, inWord := rune(0), false
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			if open == '"' && !strings.ContainsRune("$`\"\\\n", r) {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && open != '\'':
			escaped, inWord = true, true
		case open != 0 && r == open:
			open = 0
		case open == '\'':
			word.WriteRune(r)
		case strings.ContainsRune("$`", r), open == 0 && strings.ContainsRune("|&;<>()*?[", r):
			return nil, fmt.Errorf("this machine is a stub, whose shell has no `%c'", r)
		case open != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			open, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if open != 0 || escaped {
		return nil, errors.New("unexpected EOF while looking for matching quote")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// options splits arguments into long options, some of which may be written as
// one letter, and the rest. Those that take a value may have it behind a `=` or
// as the next argument. An option that is not among names is the error.
func options(args []string, names map[string]string) (given map[string]string, rest []string, unknown string) {
	given = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(args[i], "=")
		if letters := strings.TrimPrefix(name, "-"); names[name] == "" && len(letters) > 1 && len(letters) == len(name)-1 && letters[0] != '-' {
			for _, l := range letters[1:] { // -it is -i -t
				args = slices.Insert(slices.Clone(args), i+1, "-"+string(l))
			}
			name = name[:2]
		}
		switch {
		case args[i] == "--":
			return given, append(rest, args[i+1:]...), ""
		case !strings.HasPrefix(name, "-") || name == "-":
			if rest = append(rest, args[i]); names["+"] != "" { // options end with the first other argument
				return given, append(rest, args[i+1:]...), ""
			}
			continue
		}
		long, known := names[name]
		wants := strings.HasSuffix(long, "=")
		if wants && !has && i+1 < len(args) {
			i++
			value, has = args[i], true
		}
		if !known || has != wants {
			return nil, nil, args[i]
		}
		long = strings.TrimSuffix(long, "=")
		if before, again := given[long]; again && wants {
			value = before + "\n" + value
		}
		given[long] = value
	}
	return given, rest, ""
}

// terminal is what a session with one reads its lines from.
type terminal = term.Terminal

// newTerminal speaks to a channel as a terminal's line discipline does: it
// echoes, edits the line, and begins each line at the left.
func newTerminal(rw io.ReadWriter) *terminal { return term.NewTerminal(rw, "") }
