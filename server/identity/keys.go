package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a key set may hold. An issuer has two or three keys.
const (
	maxSetBytes = 512 << 10
	maxKeys     = 100
	// minModulus is the shortest RSA key taken, in bits (RFC 7518, 3.3).
	minModulus = 2048
	// maxStale is how long keys are used on that cannot be fetched anew.
	maxStale = 24 * time.Hour
	// maxRedirects bounds those of one document.
	maxRedirects = 3
)

// keys are an issuer's, fetched when they are needed. Safe for concurrent use.
type keys struct {
	from     string // address or file; "" with an issuer
	issuer   string // whose configuration names the address; "": from does
	remote   bool
	client   *http.Client
	refresh  time.Duration
	interval time.Duration
	now      func() time.Time
	failed   func(error)

	stop    context.Context // ends with close
	cancel  context.CancelFunc
	updates sync.WaitGroup

	mu      sync.Mutex
	set     []jose.JSONWebKey // guarded by mu; never changed in place
	fetched time.Time         // of set; guarded by mu
	tried   time.Time         // the last fetch began; guarded by mu
	err     error             // its error; guarded by mu
	fetch   chan struct{}     // closed when the fetch under way ends; nil without one; guarded by mu
}

func newKeys(o Options) (*keys, error) {
	k := &keys{from: o.Keys, refresh: o.Refresh, interval: o.Interval, now: o.Now, failed: o.Failed}
	if k.failed == nil {
		k.failed = func(error) {}
	}
	if k.refresh <= 0 {
		k.refresh = time.Hour
	}
	if k.interval <= 0 {
		k.interval = 30 * time.Second
	}
	if o.Discover {
		if u, ok := address(o.Issuer); !ok || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("the issuer must be an address, whose OpenID configuration names its keys")
		}
		k.issuer, k.remote = o.Issuer, true
	} else if _, ok := address(o.Keys); ok {
		k.remote = true
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	if client.Timeout <= 0 {
		client.Timeout = 10 * time.Second
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = redirect
	}
	k.client = &client
	k.stop, k.cancel = context.WithCancel(context.Background())
	if k.remote {
		return k, nil
	}
	set, err := k.read(context.Background())
	if err != nil {
		return nil, err
	}
	k.set, k.fetched, k.tried = set, k.now(), k.now()
	return k, nil
}

// address reads one of http or https.
func address(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	return u, err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// redirect follows a few, and none that would have keys come by a line that anybody
// on the way can change.
func redirect(r *http.Request, before []*http.Request) error {
	if len(before) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if before[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("a redirect away from https")
	}
	return nil
}

// find gives the keys that may have signed a token: those of its key id or, for
// a token without one, all of the algorithm.
func (k *keys) find(ctx context.Context, id, algorithm string) ([]jose.JSONWebKey, error) {
	for {
		k.mu.Lock()
		now := k.now()
		found := match(k.set, id, algorithm)
		old := k.set == nil || now.Sub(k.fetched) >= k.refresh
		due := k.tried.IsZero() || now.Sub(k.tried) >= k.interval
		stale := k.set == nil || now.Sub(k.fetched) >= maxStale
		switch {
		case k.fetch == nil && due && (old || len(found) == 0):
			done := make(chan struct{})
			k.fetch, k.tried = done, now
			// It outlives a client that does not wait; its own timeout ends it.
			k.updates.Go(func() { k.update(done) })
			k.mu.Unlock()
			if len(found) > 0 && !stale {
				return found, nil
			}
		case len(found) > 0 && !stale:
			k.mu.Unlock()
			return found, nil
		case k.fetch == nil:
			err := k.err
			k.mu.Unlock()
			if stale || err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
			return nil, nil
		default:
			done := k.fetch
			k.mu.Unlock()
			select {
			case <-done:
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
			}
		}
	}
}

func match(set []jose.JSONWebKey, id, algorithm string) (found []jose.JSONWebKey) {
	for _, key := range set {
		if (id == "" || key.KeyID == id) && usable(key, algorithm) {
			found = append(found, key)
		}
	}
	return found
}

// update fetches once.
func (k *keys) update(done chan struct{}) {
	set, err := k.read(k.stop)
	if err != nil && k.stop.Err() == nil {
		k.failed(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err == nil {
		k.set, k.fetched = set, k.now()
	}
	k.fetch = nil
	close(done)
}

// read is a fetch, or the file.
func (k *keys) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	if !k.remote {
		f, err := os.Open(k.from)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return decodeSet(f)
	}
	from := k.from
	if k.issuer != "" {
		var err error
		if from, err = k.discover(ctx); err != nil {
			return nil, fmt.Errorf("discover keys: %w", err)
		}
	}
	body, err := k.get(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = body.Close() }()
	return decodeSet(body)
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0, 4).
// It does so at each fetch: an issuer may move them.
func (k *keys) discover(ctx context.Context) (string, error) {
	body, err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := decode(body, &document); err != nil {
		return "", err
	}
	if document.Issuer != k.issuer { // letter by letter (4.3)
		return "", fmt.Errorf("the configuration is of the issuer %.200q", document.Issuer)
	}
	u, ok := address(document.Keys)
	if !ok || strings.HasPrefix(k.issuer, "https:") && u.Scheme != "https" {
		return "", fmt.Errorf("the configuration's jwks_uri is %.200q", document.Keys)
	}
	return document.Keys, nil
}

// get asks for a document.
func (k *keys) get(ctx context.Context, from string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("answered %s", response.Status)
	}
	return response.Body, nil
}

// decode reads a document of JSON.
func decode(r io.Reader, v any) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxSetBytes+1))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if len(raw) > maxSetBytes {
		return fmt.Errorf("read: longer than %d bytes", maxSetBytes)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// decodeSet reads a JSON Web Key Set. Keys of kinds that are of no use here are
// passed over (RFC 7517, 5).
func decodeSet(r io.Reader) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := decode(r, &document); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("decode keys: more than %d", maxKeys)
	}
	set := []jose.JSONWebKey{}
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && key.Valid() && len(algorithmsOf(key)) > 0 {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("decode keys: none that signs with RS256, ES256 or EdDSA")
	}
	return set, nil
}

// algorithmsOf are the algorithms whose signatures a public key can check, of
// those in use. A symmetric key in a set is none.
func algorithmsOf(key jose.JSONWebKey) []string {
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= minModulus {
			return []string{string(jose.RS256)}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return []string{string(jose.ES256)}
		}
	case ed25519.PublicKey:
		return []string{string(jose.EdDSA)}
	}
	return nil
}
