package described

import (
	"encoding/binary"
	"hash/maphash"
)

// longText is from how many bytes on a text is user-data or a zone file, of
// which no two are alike.
const longText = 256

// What a byte may be part of.
const (
	mark   byte = iota // punctuation of JSON, and all else
	letter             // a word
	digit              // a word that stands for any other
)

// classes sorts all bytes; + and / are base64's, in texts that are never alike.
var classes = func() (c [256]byte) {
	for b := range c {
		switch {
		case '0' <= b && b <= '9', b == '+', b == '/':
			c[b] = digit
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
			c[b] = letter
		}
	}
	return c
}()

// appendShape appends to out what all bodies have in common that are alike:
// words with a digit in them (ids, addresses, times, digests) are one word, and
// so are long texts. In thousands of simulated releases the same few hundred
// shapes come back; each is checked once.
func appendShape(out, body []byte) []byte {
	for i := 0; i < len(body); {
		from, digits := i, false
		for i < len(body) && classes[body[i]] != mark {
			digits = digits || classes[body[i]] == digit
			i++
		}
		if digits || i-from >= longText {
			out = append(out, '#')
		} else {
			out = append(out, body[from:i]...)
		}
		from = i
		for i < len(body) && classes[body[i]] == mark {
			i++
		}
		out = append(out, body[from:i]...)
	}
	return out
}

// shape is one number for all calls that are alike: by route, status, query
// and bodies.
func (c *call) shape(seed maphash.Seed, route string) uint64 {
	out := make([]byte, 0, len(route)+len(c.body)+len(c.answer)+64)
	out = append(append(out, route...), c.header.Get("Content-Type")...)
	out = binary.BigEndian.AppendUint16(out, uint16(c.status))
	for _, part := range [][]byte{[]byte(c.URL.RawQuery), c.body, c.answer} {
		out = append(appendShape(out, part), 0)
	}
	return maphash.Bytes(seed, out)
}
