package sandbox

import (
	"net/url"
	"strconv"
)

const (
	defaultPerPage = 20
	maxPerPage     = 200
)

// page answers a list under its name: the wanted part of it, links to other
// parts where there are any, and the total.
func page[T any](q *call, name string, all []T) reply {
	query := q.URL.Query()
	per := clamp(number(query.Get("per_page"), defaultPerPage), 1, maxPerPage)
	at := max(number(query.Get("page"), 1), 1)
	from := min((at-1)*per, len(all))
	part := all[from:min(from+per, len(all))]
	if part == nil {
		part = []T{}
	}
	last := max((len(all)+per-1)/per, 1)
	return ok(obj{name: part, "links": links(q, query, at, last), "meta": obj{"total": len(all)}})
}

// links holds only the pages that make sense: the first page has no first and
// no prev, the last no next and no last.
func links(q *call, query url.Values, at, last int) obj {
	pages := obj{}
	link := func(name string, n int) {
		v := url.Values{}
		for k, s := range query {
			v[k] = s
		}
		v.Set("page", strconv.Itoa(n))
		pages[name] = q.base() + q.URL.Path + "?" + v.Encode()
	}
	if at > 1 {
		link("first", 1)
		link("prev", min(at-1, last))
	}
	if at < last {
		link("next", at+1)
		link("last", last)
	}
	if len(pages) == 0 {
		return obj{}
	}
	return obj{"pages": pages}
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return n
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }
