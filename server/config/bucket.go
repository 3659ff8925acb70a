package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Bucket is a token bucket: Rate a second in the long run, Burst at once. A Rate of
// 0 is no limit.
type Bucket struct {
	Rate  float64
	Burst int
}

const allowedBucket = "off, or RATE/UNIT burst N, such as 20/s burst 100, 30/m burst 30 or 5/h burst 10; rate and burst from 1 to 1000000"

var bucketForm = regexp.MustCompile(`^([0-9]{1,7})/(s|m|h) burst ([0-9]{1,7})$`)

// parseBucket reads "20/s burst 100" or "off".
func parseBucket(text string) (Bucket, error) {
	if text == "off" {
		return Bucket{}, nil
	}
	m := bucketForm.FindStringSubmatch(text)
	if m == nil {
		return Bucket{}, errors.New(allowedBucket)
	}
	n, _ := strconv.Atoi(m[1]) // digits
	burst, _ := strconv.Atoi(m[3])
	if n < 1 || n > 1_000_000 || burst < 1 || burst > 1_000_000 {
		return Bucket{}, errors.New(allowedBucket)
	}
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[m[2]]
	return Bucket{Rate: float64(n) / per.Seconds(), Burst: burst}, nil
}

// showBucket writes what parseBucket reads.
func showBucket(b Bucket) string {
	if b.Rate == 0 {
		return "off"
	}
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		if n := b.Rate * unit.seconds; n >= 1 && n == float64(int(n+0.5)) || unit.name == "h" {
			return fmt.Sprintf("%d/%s burst %d", int(n+0.5), unit.name, b.Burst)
		}
	}
	panic("config: unreachable")
}
