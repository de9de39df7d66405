package release

import (
	"errors"
	"strings"

	"cattle/droplets"
)

// dataHints are what to type after what an engine says.
var dataHints = map[string]string{
	droplets.StateDiskFull:      "more room: droplet: {size: …} in the profile",
	droplets.StateWrongPassword: "state: of the profile names the user and the password of the server, as the app has them",
	droplets.StateServerOlder:   "the compose file's image of the server has to be as new as the one that is live",
	droplets.StateCut:           "try again; where the droplets do not reach each other: --via-operator",
	droplets.StateEntryMissing:  "state: of the profile names what is to be carried, by the names of compose volumes and services",
	droplets.StateNotEqual:      "try again; what writes beside the app, and is not named in release: {pause: […]}?",
	droplets.StateLapsed:        "try again; where it happens often: release: {max_freeze: …}",
	droplets.StateRepository:    "cattle backups shows whether the repository answers; --no-backup does without",
	droplets.StateMigrate:       "release.migrate of the profile has failed on a copy of the data; what it said is above",
	droplets.StateVolumeBusy:    "cattle ssh fuser --verbose --mount FOLDER shows what uses it",
	droplets.StateVolumeMissing: "cattle status shows where the volume is; try again",
	droplets.StateEngine:        "cattle logs system shows what the live droplet said; --keep-failed keeps the new one for a look",
}

// dataKind is the section, and what to type, of a failure that an engine told.
func dataKind(err error) (code, hint string, ok bool) {
	var said *droplets.StateError
	var failed *droplets.VerbError
	switch {
	case errors.As(err, &said):
		code = said.Code
	case errors.As(err, &failed) && strings.HasPrefix(failed.Verb, "state "): // it was killed, say
		code = droplets.StateEngine
	default:
		return "", "", false
	}
	switch code {
	case droplets.StateNotFrozen:
		code = droplets.StateLapsed
	case droplets.StateNoBackup:
		code = droplets.StateRepository
	case droplets.StateWrongPassword:
		// A repository has a password too.
		if said != nil && (said.Verb == "backup" || said.Verb == "restore") {
			code = droplets.StateRepository
		}
	case droplets.StateBusy:
		code = droplets.StateEngine
	}
	hint = dataHints[code]
	if code != droplets.StateMigrate {
		code = "state-" + code
	}
	return code, hint, true
}
