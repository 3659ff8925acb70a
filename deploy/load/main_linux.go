package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/antchat/antchat/deploy/load/result"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if number, is := isPart(); is {
		err = runPart(ctx, number, os.Args[1:], os.Stdin, os.Stdout)
	} else {
		err = command(ctx, os.Args[1:], os.Stdout)
	}
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// command runs and reports. An error says what was lost, or why there is
// nothing to say.
func command(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	var r *result.Run
	if o.Processes > 1 {
		r, err = runParts(ctx, o, args)
	} else {
		r, err = run(ctx, o)
	}
	if r == nil {
		return err
	}
	err = errors.Join(err, write(o, r, stdout))
	if bad := r.Bad(); bad != "" {
		err = errors.Join(err, errors.New(bad))
	}
	return err
}

// write writes the result where the options say.
func write(o *options, r *result.Run, stdout io.Writer) error {
	if o.JSON != "-" {
		if err := printRun(stdout, r); err != nil {
			return err
		}
	}
	if o.JSON != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		text = append(text, '\n')
		if o.JSON == "-" {
			_, err = stdout.Write(text)
		} else {
			err = os.WriteFile(o.JSON, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if o.SVG == "" {
		return nil
	}
	var b bytes.Buffer
	plot(&b, r)
	return os.WriteFile(o.SVG, b.Bytes(), 0o644)
}
