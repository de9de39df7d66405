package cloudinit

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// sorted walks a map by key, which a range alone does in no order.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
