package config

import (
	"fmt"
	"io"
	"strings"
)

// WriteHelp writes every setting with its default, limits and names.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`Antchat: a chat server for Socket.IO clients.

Usage: antchat [COMMAND] [--config FILE] [--SETTING VALUE]...

Without a command it serves. Commands:

    doctor         look for what would go wrong with these settings, here: files,
                   Redis, clock, data directory; say what to change
    healthcheck    ask the server of this machine whether it lives, as a container's
                   health check does
    password       make admin_ui.password_hash of the line on standard input
    apikey         make a key for the HTTP API: its text, once, and its hash for
                   api.keys
    plan           say what a fleet for so many users needs, and what it costs; has
                   flags of its own: antchat plan --help
    version        show the version

A setting comes from, each before the next: its flag, its environment variable,
the YAML file, its default. The file nests settings by section:

    http:
      port: 8080

      --config FILE    YAML file with settings (environment: ` + envConfig + `)
      --print-config   show what is in force and where each setting came from
      --version        show the version
  -h, --help           show this
`)
	for _, section := range sections {
		b.WriteString("\n" + section.about + "\n")
		for _, s := range settings {
			if strings.HasPrefix(s.key, section.name+".") {
				s.help(&b)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *setting) help(b *strings.Builder) {
	fmt.Fprintf(b, "\n      --%s %s\n", s.key, s.kind())
	wrap(b, s.about)
	facts := "default " + quoted(s.initial)
	if s.unit != "" {
		facts += " " + s.unit
	}
	if s.cloudRun != "" {
		facts += ", on Cloud Run " + s.cloudRun
	}
	if s.least != "" {
		facts += ", from " + s.least + " to " + s.most
	}
	if s.allowed != nil && s.kind() == "list" {
		facts += ", of " + strings.Join(s.allowed, ", ")
	}
	names := s.env()
	if s.also != "" {
		names += ", " + s.also
	}
	if s.secret {
		facts += ", never shown"
	}
	wrap(b, "("+facts+"; environment "+names+")")
}

func wrap(b *strings.Builder, text string) {
	const indent, width = "          ", 80
	line := indent[:len(indent)-1]
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && len(line) > len(indent) {
			b.WriteString(line + "\n")
			line = indent[:len(indent)-1]
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

func quoted(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// Write writes all settings in force and where each came from, as a file that
// --config reads. Secrets are hidden.
func (c *Config) Write(w io.Writer) error {
	var b strings.Builder
	for _, section := range sections {
		fmt.Fprintf(&b, "%s:\n", section.name)
		for _, s := range settings {
			rest, ok := strings.CutPrefix(s.key, section.name+".")
			if !ok {
				continue
			}
			value := s.show(c)
			switch s.kind() {
			case "number", "true|false", "time":
			default:
				value = yamlText(value)
			}
			lead := "  "
			if s.secret && s.show(c) != "" {
				lead, value = "  # ", "(hidden)"
			}
			fmt.Fprintf(&b, "%-45s # %s\n", lead+rest+": "+value, c.origin[s.key])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// yamlText quotes as YAML's single-quoted form, in which nothing but the quote
// itself is special.
func yamlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
