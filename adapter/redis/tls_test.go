package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// selfSigned writes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	cert, key := selfSigned(t)
	port, err := loopback.Port()
	if err != nil {
		t.Fatal(err)
	}
	ownServer(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	url := "rediss://127.0.0.1:" + strconv.Itoa(port)
	a := open(t, Options{URL: url, CAFile: cert})
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	ready(t, a)
	m := newMember(t, a, "a")
	m.append("a", "0")
	m.wantTexts(1)
	distrustful := open(t, Options{URL: url, Timeout: 200 * time.Millisecond})
	t.Cleanup(func() { _ = distrustful.Close(context.Background()) })
	if _, err := distrustful.Append(t.Context(), entry("a", "1")); err == nil {
		t.Error("a certificate of nobody known was taken")
	}
	if _, err := Open(Options{URL: "redis://h", CAFile: cert}); err == nil {
		t.Error("a CA file without TLS was taken")
	}
	if _, err := Open(Options{URL: url, CAFile: key}); err == nil {
		t.Error("a CA file without a certificate was taken")
	}
}
