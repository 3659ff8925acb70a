package main

import (
	"time"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/webhook"
)

// openWebhooks starts the webhooks, if there are any, and has the chat tell them
// what this node does.
func (p *program) openWebhooks(to *chatapi.Hooks) error {
	c := &p.config.Webhooks
	if len(c.Hooks) == 0 {
		return nil
	}
	o := webhook.Options{
		Events: []string{"message", "join", "leave"}, Queue: c.Queue, Logger: p.logger, Told: p.metrics.Webhooks(),
	}
	for _, h := range c.Hooks {
		o.Hooks = append(o.Hooks, webhook.Hook{URL: h.URL, Secret: h.Secret, Events: h.Events})
	}
	s, err := webhook.New(o)
	if err != nil {
		return p.config.Refuse("webhooks.hooks", err.Error())
	}
	p.webhooks = s
	to.Posted = func(m chat.Message) { s.Offer("message", time.UnixMilli(m.TS), m) }
	to.Present = func(c chatapi.Presence, joined bool) {
		name := "leave"
		if joined {
			name = "join"
		}
		s.Offer(name, time.Now(), c)
	}
	return nil
}
