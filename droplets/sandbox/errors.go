package sandbox

import "net/http"

// obj is a JSON object of an answer.
type obj = map[string]any

// A reply is an answer before it is written. A nil body is none.
type reply struct {
	status int
	body   any
}

// These are the error bodies of the API: id, message and, as a header and
// sometimes in the body, request_id.

func failure(status int, id, message string) reply {
	return reply{status, obj{"id": id, "message": message}}
}

func notFound() reply {
	return failure(http.StatusNotFound, "not_found", "The resource you requested could not be found.")
}

func unprocessable(message string) reply {
	return failure(http.StatusUnprocessableEntity, "unprocessable_entity", message)
}

func badRequest(message string) reply {
	return failure(http.StatusBadRequest, "bad_request", message)
}

func unauthorized() reply {
	return failure(http.StatusUnauthorized, "unauthorized", "Unable to authenticate you.")
}

func forbidden() reply {
	return failure(http.StatusForbidden, "forbidden", "You do not have access for the attempted action.")
}

func tooMany() reply {
	return failure(http.StatusTooManyRequests, "too_many_requests", "API Rate limit exceeded.")
}

// rootCauses is the other shape, which a tag of a bad name is answered with.
func rootCauses(message string) reply {
	return reply{http.StatusBadRequest, obj{
		"error":       message,
		"messages":    nil,
		"root_causes": []string{"rpc error: code = InvalidArgument desc = " + message},
	}}
}

func ok(body any) reply { return reply{http.StatusOK, body} }

func noContent() reply { return reply{status: http.StatusNoContent} }

const pendingEvent = "Droplet already has a pending event."
