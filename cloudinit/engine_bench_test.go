package cloudinit

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDelta measures what writers wait for, by the size of the database: 1 in
// 100 of its rows changes between the two passes.
func BenchmarkDelta(b *testing.B) {
	for _, megabytes := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%dMB", megabytes), func(b *testing.B) {
			old, next := stateDroplets(b, b.TempDir())
			old.python(fmt.Sprintf(`import os, sqlite3
c = sqlite3.connect("app.db")
c.execute("PRAGMA journal_mode=WAL")
c.executemany("INSERT INTO rows(text) VALUES(?)", ((os.urandom(1000).hex(),) for _ in range(%d)))
c.commit()`, megabytes*500))
			equip(old, next)
			for i := range b.N {
				b.StopTimer()
				next.succeeds(old.source(), "pull", "bulk")
				change := fmt.Sprintf(`import sqlite3
c = sqlite3.connect("app.db")
c.execute("UPDATE rows SET text = '%%d' || substr(text, 9) WHERE id %%%% 100 = ?", (%d,))
c.commit()`, i)
				old.python(fmt.Sprintf(change, time.Now().UnixNano()%1e8))
				b.StartTimer()
				measured(b, "freeze", func() { old.do("freeze", "60") })
				measured(b, "delta", func() { next.succeeds(old.source(), "pull", "delta") })
				measured(b, "start", func() { next.do("start", "60") })
				measured(b, "thaw", func() { old.do("thaw") })
			}
		})
	}
}

func measured(b *testing.B, what string, do func()) {
	b.Helper()
	began := time.Now()
	do()
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-"+what)
}
