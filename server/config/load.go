package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	envPrefix = "ANTCHAT_"
	// envTest opens the variables of the project's own tests (which browser to
	// use and the like), which the server passes over.
	envTest = envPrefix + "TEST_"
	// envConfig names the file, as --config does.
	envConfig = envPrefix + "CONFIG"
	// envService and envRevision are set by Cloud Run, and by other platforms
	// made of Knative, for every container (Cloud Run's container runtime
	// contract, "Environment variables").
	envService  = "K_SERVICE"
	envRevision = "K_REVISION"
	// maxFile bounds the file of settings, in bytes.
	maxFile = 1 << 20
)

// Request is what the command line asks for.
type Request int

const (
	Run         Request = iota
	Help                // --help: WriteHelp, then end
	Version             // version, --version
	Print               // --print-config: Config.Write, then end
	Doctor              // doctor: say what is wrong with the surroundings, then end
	Healthcheck         // healthcheck: ask the server on this machine, then end
	Password            // password: make admin_ui.password_hash, then end
	NewKey              // apikey: make a key for api.keys, then end
)

// commands are the words that the command line may hold beside settings.
var commands = map[string]Request{"doctor": Doctor, "healthcheck": Healthcheck, "password": Password, "apikey": NewKey, "version": Version}

// Error is a wrong or unknown setting. Its text is one line that names it and
// says what is allowed; it never shows a secret.
type Error struct {
	Setting string // key, variable, flag or file
	Problem string
}

func (e *Error) Error() string {
	// Parsers below put several lines into one error.
	return strings.Join(strings.Fields(e.Setting+": "+e.Problem), " ")
}

// Load reads all settings: defaults, the file, the process's environment, and
// args (without the program's name). Every error is an *Error; the request is
// what was asked for also then, if that much could be read.
func Load(args []string) (*Config, Request, error) {
	flags := newFlags()
	request, err := parse(flags, args)
	if err != nil || request == Help || request == Version {
		return nil, request, err
	}

	v := viper.New()
	v.AllowEmptyEnv(true) // an empty data.dir means memory
	file, err := readFile(v, flags)
	if err != nil {
		return nil, request, err
	}
	if err := unknownVariables(os.Environ()); err != nil {
		return nil, request, err
	}

	c := &Config{origin: map[string]string{}, CloudRun: CloudRun{Service: os.Getenv(envService), Revision: os.Getenv(envRevision)}}
	for _, s := range settings {
		v.SetDefault(s.key, s.initial)
		if c.CloudRun.Service != "" && s.cloudRun != "" {
			v.SetDefault(s.key, s.cloudRun)
		}
		names := []string{s.key, s.env()}
		// A platform that sets PORT to nothing has not set it.
		if s.also != "" && os.Getenv(s.also) != "" {
			names = append(names, s.also)
		}
		// Both only fail for arguments that are missing.
		_ = v.BindEnv(names...)
		_ = v.BindPFlag(s.key, flags.Lookup(s.key))

		c.origin[s.key] = origin(s, names[1:], v, flags, file)
		if c.origin[s.key] == "default" && c.CloudRun.Service != "" && s.cloudRun != "" {
			c.origin[s.key] = "default on Cloud Run"
		}
		text, ok := plain(v.Get(s.key))
		if !ok {
			return nil, request, s.refuse(c, "what stands there", s.allowance())
		}
		if err := s.assign(c, text); err != nil {
			return nil, request, s.refuse(c, fmt.Sprintf("%q", text), err.Error())
		}
	}
	return c, request, c.related()
}

// Origin says where a setting's value came from: "default", "default on Cloud
// Run" (of settings whose default is another one there), "file PATH",
// "environment NAME" or "flag --NAME".
func (c *Config) Origin(key string) string { return c.origin[key] }

// Refuse is the error for a setting whose value turned out to be wrong only
// when it was used: a file that is not there, say.
func (c *Config) Refuse(key, problem string) error {
	return &Error{key, problem + " (" + c.origin[key] + ")"}
}

func (s *setting) refuse(c *Config, value, allowed string) error {
	if s.secret {
		value = "the value (hidden)"
	}
	return &Error{s.key, fmt.Sprintf("%s (%s) is not allowed: allowed is %s", value, c.origin[s.key], allowed)}
}

func origin(s *setting, variables []string, v *viper.Viper, flags *pflag.FlagSet, file string) string {
	if flags.Changed(s.key) {
		return "flag --" + s.key
	}
	for _, name := range variables {
		if _, ok := os.LookupEnv(name); ok {
			return "environment " + name
		}
	}
	if v.InConfig(s.key) {
		return "file " + file
	}
	return "default"
}

// newFlags makes a flag per setting, all of them text: values are read in one
// place, whatever brought them.
func newFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("antchat", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		// --http-port and --engine.ping-interval are what fingers type.
		name = strings.ReplaceAll(name, "-", "_")
		if section, rest, ok := strings.Cut(name, "_"); ok && find(name) == nil && find(section+"."+rest) != nil {
			name = section + "." + rest
		}
		return pflag.NormalizedName(name)
	})
	for _, s := range settings {
		flags.String(s.key, s.initial, s.about)
		if _, ok := s.field(new(Config)).(*bool); ok {
			flags.Lookup(s.key).NoOptDefVal = "true"
		}
	}
	flags.String("config", "", "")
	flags.BoolP("help", "h", false, "")
	flags.Bool("version", false, "")
	flags.Bool("print-config", false, "")
	return flags
}

func parse(flags *pflag.FlagSet, args []string) (Request, error) {
	if err := flags.Parse(args); err != nil {
		return Run, flagError(err)
	}
	command, ok := Run, true
	if flags.NArg() > 0 {
		command, ok = commands[flags.Arg(0)]
	}
	if !ok || flags.NArg() > 1 {
		return Run, &Error{"argument", fmt.Sprintf("%q is not allowed: settings are given as --name value, and one of %s may stand before them; --help lists all",
			flags.Arg(flags.NArg()-1), strings.Join(words(), ", "))}
	}
	for name, request := range map[string]Request{"help": Help, "version": Version, "print-config": Print} {
		if on, err := flags.GetBool(name); err == nil && on {
			return request, nil
		}
	}
	return command, nil
}

// words are the commands by name, with the one that has flags of its own: main
// takes it before settings are read.
func words() []string {
	all := append(slices.Collect(maps.Keys(commands)), "plan")
	slices.Sort(all)
	return all
}

func flagError(err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return &Error{"-" + name, "unknown flag; --help lists the settings"}
		}
		return &Error{"--" + name, "unknown flag" + suggest(strings.ReplaceAll(name, "-", "_"), "--", keys())}
	case errors.As(err, &missing):
		f := missing.GetFlag()
		if s := find(f.Name); s != nil {
			return &Error{"--" + f.Name, "needs a value: allowed is " + s.allowance()}
		}
		return &Error{"--" + f.Name, "needs a value"}
	case errors.As(err, &invalid):
		return &Error{"--" + invalid.GetFlag().Name, "allowed is true or false"}
	}
	return &Error{"flags", err.Error() + "; --help lists the settings"}
}

// readFile reads the file that --config or ANTCHAT_CONFIG names, if any, and
// refuses what it has that is no setting.
func readFile(v *viper.Viper, flags *pflag.FlagSet) (string, error) {
	name := os.Getenv(envConfig)
	if f := flags.Lookup("config"); f.Changed {
		name = f.Value.String()
	}
	if name == "" {
		return "", nil
	}
	refuse := func(problem string) (string, error) {
		return "", &Error{"config", "file " + name + ": " + problem}
	}
	f, err := os.Open(name)
	if err != nil {
		return refuse(cause(err))
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return refuse(cause(err))
	case len(data) > maxFile:
		return refuse(fmt.Sprintf("allowed are at most %d bytes", maxFile))
	}
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		return refuse("not readable as YAML settings: " + strings.TrimPrefix(err.Error(), "While parsing config: "))
	}
	found := v.AllKeys()
	slices.Sort(found) // the first error is always the same one
	for _, key := range found {
		if find(key) != nil || (v.Get(key) == nil && isSection(key)) {
			continue
		}
		if isSection(key) {
			return refuse(key + ": is a section: its settings stand below it, indented; --help lists all that are allowed")
		}
		return refuse(key + ": unknown setting" + suggest(key, "", keys()))
	}
	return name, nil
}

// cause is a file error without the file's name, which the line has already.
func cause(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Kubernetes gives every container variables for a service named antchat or
// antchat-something. serviceLink matches those that no setting looks like,
// servicePort the one that counts only with an address in it.
var (
	serviceLink = regexp.MustCompile(`^ANTCHAT_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^ANTCHAT_([A-Z0-9_]+_)?PORT=[a-z]+://`)
)

func unknownVariables(environ []string) error {
	names := []string{envConfig}
	for _, s := range settings {
		names = append(names, s.env())
	}
	slices.Sort(environ)
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, envTest) || slices.Contains(names, name) {
			continue
		}
		if serviceLink.MatchString(name) || servicePort.MatchString(pair) {
			continue
		}
		return &Error{name, "unknown environment variable" + suggest(name, "", names)}
	}
	return nil
}

func keys() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
	return names
}

func isSection(name string) bool {
	for _, s := range sections {
		if s.name == name {
			return true
		}
	}
	return false
}
