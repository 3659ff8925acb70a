package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/antchat/antchat/server/adminui"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// openAdminUI makes the Admin UI's namespace ready, if it is on, and puts what
// it must see into the options of the Socket.IO server.
func (p *program) openAdminUI(o *socketio.Options) error {
	c := p.config.AdminUI
	if !c.Enabled {
		return nil
	}
	ui, err := adminui.New(adminui.Options{
		Namespace: c.Namespace, Username: c.Username, PasswordHash: c.PasswordHash, Token: c.Token,
		Development: c.Mode == "development", ReadOnly: c.ReadOnly, Node: p.adapter.NodeID(),
		// Half of what a connection may have queued.
		MaxListing: p.config.Engine.QueueBytes / 2,
		Logger:     p.logger,
		Hooks:      p.metrics.AdminUI(),
	})
	switch {
	case errors.Is(err, adminui.ErrPasswordHash):
		return p.config.Refuse("admin_ui.password_hash", "the value (hidden) is not allowed: allowed is a bcrypt hash with a cost of at most 14, such as antchat password makes")
	case errors.Is(err, adminui.ErrToken):
		return p.config.Refuse("admin_ui.token", "the value (hidden) is not allowed: allowed are at least 16 bytes")
	case err != nil:
		return err
	}
	for _, name := range adminui.Secrets {
		if !slices.Contains(o.Secrets, name) {
			o.Secrets = append(slices.Clip(o.Secrets), name)
		}
	}
	o.Hooks = ui.Hooks(o.Hooks)
	if c.Mode == "development" {
		o.Describe = ui.Describe
	}
	p.adminUI = ui
	return nil
}

// hashPassword writes the hash of the line that it reads.
func hashPassword(in io.Reader, out io.Writer) error {
	// One byte more than is allowed, and the end of the line.
	line, err := bufio.NewReader(io.LimitReader(in, 80)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read password: %w", err)
	}
	hash, err := adminui.HashPassword(strings.TrimRight(line, "\r\n"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, hash)
	return err
}

// adminUIHooks adds the Admin UI's counts to Engine.IO's hooks.
func adminUIHooks(ui *adminui.UI, h engineio.Hooks) engineio.Hooks {
	was := h
	h.Opened = func(transport string, revision int) {
		ui.Opened(transport)
		if was.Opened != nil {
			was.Opened(transport, revision)
		}
	}
	h.Closed = func(transport string, revision int, reason string, lived time.Duration) {
		ui.Closed(transport, reason)
		if was.Closed != nil {
			was.Closed(transport, revision, reason, lived)
		}
	}
	h.Upgraded = func(revision int) {
		ui.Upgraded()
		if was.Upgraded != nil {
			was.Upgraded(revision)
		}
	}
	h.Received = func(transport string, packets, bytes int) {
		ui.Received(packets, bytes)
		if was.Received != nil {
			was.Received(transport, packets, bytes)
		}
	}
	h.Sent = func(transport string, packets, bytes int) {
		ui.Sent(packets, bytes)
		if was.Sent != nil {
			was.Sent(transport, packets, bytes)
		}
	}
	return h
}
