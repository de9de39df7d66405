package profiles

import (
	"bytes"
	"errors"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// ReadEnv reads a .env file as docker compose does, quotes and all. Where that
// cannot, the error repeats nothing of the file: it is full of passwords.
func ReadEnv(path string) (map[string]string, error) {
	text, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	values, err := dotenv.ParseWithLookup(bytes.NewReader(text), func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, errors.New(path + " is not what docker compose takes for a file of NAME=value lines")
	}
	return values, nil
}
