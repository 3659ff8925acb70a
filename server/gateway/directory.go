package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"
)

// directory serves an operator's own page. os.Root keeps every name, and every
// link, inside it.
type directory struct {
	root   *os.Root
	logger *slog.Logger
}

func openDir(name string, logger *slog.Logger) (*directory, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the page's directory: %w", err)
	}
	return &directory{root, logger}, nil
}

func (d *directory) Close() error { return d.root.Close() }

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	slash := name == "" || strings.HasSuffix(name, "/")
	name = path.Join(name, ".")
	// A name that cleaning changes, or that has a dot in front, is not one
	// that a page asks for. Backslashes are separators on Windows.
	if name != strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/") && name != "." || path.IsAbs(name) || hidden(name) || strings.ContainsAny(name, "\\\x00") {
		notFound(w, r)
		return
	}
	f, info, err := d.open(name)
	if err == nil && info.IsDir() {
		_ = f.Close() // only read
		if !slash {
			// Relative addresses in the page would lead elsewhere.
			http.Redirect(w, r, (&url.URL{Path: "./" + path.Base(name) + "/"}).String(), http.StatusMovedPermanently)
			return
		}
		name = path.Join(name, "index.html")
		f, info, err = d.open(name)
	} else if err == nil && slash {
		_ = f.Close()
		err = fs.ErrNotExist
	}
	if err != nil {
		if !absent(err) {
			d.logger.Warn("the page's file cannot be read", "file", name, "error", err)
		}
		notFound(w, r)
		return
	}
	defer func() { _ = f.Close() }()
	if !info.Mode().IsRegular() {
		notFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		d.logger.Warn("the page's file cannot be read", "file", name, "error", err)
		notFound(w, r)
		return
	}
	h.Set("Content-Type", kind(name, head[:n]))
	http.ServeContent(w, r, name, info.ModTime(), f)
}

// absent says that an error means no more than that there is no such file: anybody
// can ask for such names, and must not fill the log.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// open does not follow a name to anything but a file or a directory: opening a
// pipe would wait for its other end.
func (d *directory) open(name string) (*os.File, fs.FileInfo, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := d.root.Open(name)
	return f, info, err
}
