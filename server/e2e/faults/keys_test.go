package main

import "testing"

func TestClassOf(t *testing.T) {
	for key, want := range map[string]string{
		"ac1:{L0}:s:/chat,r:lobby":      "s",
		"ac1:app.{L3}:d:/,r:a:29":       "d",
		"ac1:{L0}:t:read /chat abc":     "t:read",
		"ac1:{L0}:x:c:limit 10.0.0.1":   "x:c",
		"ac1:{L0}:x":                    "x",
		"ac1:{L0}:lane":                 "lane",
		"ac1:{L0}:on:vObE0h.0lP5LyQ2":   "on",
		"somebody else's":               "foreign",
		"ac1:{L0}:i:/chat,}:not a lane": "i",
	} {
		if got := classOf(key); got != want {
			t.Errorf("%s: %s, wanted %s", key, got, want)
		}
	}
}

func TestParseMemory(t *testing.T) {
	got, err := parseMemory("# Memory\r\nused_memory:1000\r\nused_memory_human:1K\r\nused_memory_vm_total:30\r\nused_memory_scripts:4\r\nmem_clients_slaves:7\r\nmem_clients_normal:100\r\nmem_aof_buffer:20\r\n")
	if want := (redisMemory{used: 1000, data: 873, clients: 127, scripts: 34}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseMemory("used_memory:1000\r\n"); err == nil {
		t.Error("what INFO does not say is taken for nothing")
	}
}

func TestKeyTrends(t *testing.T) {
	var samples []soakSample
	for i := range 50 {
		s := soakSample{Seconds: float64(10 * i)}
		if i%3 == 0 {
			s.Classes = map[string]keyClass{"s": {Keys: 4, Bytes: 5000}, "o": {Keys: float64(i), Bytes: float64(i), Lasting: 2}}
		}
		samples = append(samples, s)
	}
	got := keyTrendsOf(samples)
	if len(got) != 2 || got[0].Class != "s" || got[1].Class != "o" {
		t.Fatalf("%+v", got)
	}
	if s, o := got[0], got[1]; s.Keys.grows() || s.Bytes.grows() || !o.Keys.grows() || o.Lasting != 2 || o.Keys.Last != 48 {
		t.Errorf("%+v", got)
	}
}
