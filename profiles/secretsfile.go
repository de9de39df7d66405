package profiles

// DefaultSecretsFile is the name that `cattle init` gives a secrets file, and
// that other verbs take where no profile says another one.
const DefaultSecretsFile = "secrets.env"

// SecretsFile is the secrets file that a profile names, from where the user
// is; "" when it names none. Unlike Load it lets faults elsewhere pass: a
// secret that is missing is what somebody is about to set.
func SecretsFile(path string) (string, error) {
	r := &report{}
	tree := (&reader{report: r}).complete(path)
	if tree == nil {
		return "", r.sorted().Err()
	}
	file := tree.get("secrets").get("file")
	if file == nil || file.kind != kindScalar {
		return "", nil
	}
	return file.value, nil
}
