package check

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerfile reads the Dockerfile as BuildKit does.
func dockerfile(t *testing.T, text string) ([]instructions.Stage, error) {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	return stages, err
}

// image runs the build steps of a stage in a directory that stands for its file
// system, as far as that goes without the base image: its own tools are this
// machine's, and its absolute paths are below the directory.
type image struct {
	t     *testing.T
	dir   string
	cwd   string            // as the Dockerfile knows it
	env   map[string]string // ARG and ENV
	given map[string]string // --build-arg, and what BuildKit sets
}

func (i *image) at(p string) string { return filepath.Join(i.dir, p) }

func (i *image) run(stage instructions.Stage) {
	i.t.Helper()
	for _, c := range stage.Commands {
		switch c := c.(type) {
		case *instructions.WorkdirCommand:
			i.cwd = c.Path
			i.must(os.MkdirAll(i.at(c.Path), 0o755))
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				if v, ok := i.given[a.Key]; ok {
					i.env[a.Key] = v
				} else if a.Value != nil {
					i.env[a.Key] = *a.Value
				}
			}
		case *instructions.CopyCommand:
			for _, source := range c.SourcePaths {
				i.copy(source, c.DestPath)
			}
		case *instructions.RunCommand:
			if len(c.CmdLine) != 1 || !c.PrependShell {
				i.t.Fatalf("%v", c)
			}
			// Nothing but these two is absolute in there.
			line := strings.NewReplacer(" /out", " "+i.at("/out"), " /src", " "+i.at("/src")).Replace(c.CmdLine[0])
			cmd := exec.CommandContext(i.t.Context(), "sh", "-c", line)
			cmd.Dir, cmd.WaitDelay = i.at(i.cwd), time.Minute
			cmd.Env = append(os.Environ(), "GOFLAGS=")
			for k, v := range i.env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				i.t.Fatalf("%s: %v\n%s", c.CmdLine[0], err, out)
			}
		default:
			i.t.Fatalf("a step that is not tried: %s", c.Name())
		}
	}
}

func (i *image) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

// copy is COPY from the context, without what .dockerignore leaves out.
func (i *image) copy(source, to string) {
	i.t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(i.t, ".dockerignore")))
	i.must(err)
	ignored, err := patternmatcher.New(patterns)
	i.must(err)
	to = path.Join(i.cwd, to)
	info, err := os.Stat(filepath.Join(root, source))
	i.must(err)
	if !info.IsDir() {
		if strings.HasSuffix(to, "/") || to == i.cwd {
			to = path.Join(to, source)
		}
	}
	files := 0
	i.must(filepath.WalkDir(filepath.Join(root, source), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir // thousands, and ignored
		}
		left, err := ignored.MatchesOrParentMatches(filepath.ToSlash(name))
		if err != nil || left || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(filepath.Join(root, source), file)
		if err != nil {
			return err
		}
		target := i.at(filepath.Join(to, below))
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		files++
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	}))
	if files == 0 {
		i.t.Errorf("COPY %s copies nothing: see .dockerignore", source)
	}
}

// build runs the first stage for an architecture and gives the binary's path.
func build(t *testing.T, stages []instructions.Stage, arch, version string) *image {
	t.Helper()
	i := &image{t: t, dir: t.TempDir(), cwd: "/", env: map[string]string{}, given: map[string]string{"TARGETOS": "linux", "TARGETARCH": arch, "VERSION": version}}
	i.run(stages[0])
	return i
}

func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	stages, err := dockerfile(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 || stages[0].Platform != "$BUILDPLATFORM" || stages[1].BaseName != "scratch" {
		t.Fatalf("%d stages", len(stages))
	}
	const version = "v9.8.7-test"
	built := map[string]*image{}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		built[arch] = build(t, stages, arch, version)
		file, err := elf.Open(built[arch].at("/out/antchat"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		if file.Machine != machine || file.Type != elf.ET_EXEC {
			t.Errorf("%s: %v %v", arch, file.Machine, file.Type)
		}
		// Static: no interpreter, no shared library.
		libraries, err := file.ImportedLibraries()
		if len(libraries) > 0 || slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
			t.Errorf("%s needs %v, %v", arch, libraries, err)
		}
	}
	finalStage(t, stages[1], built["amd64"])

	// Again, elsewhere: the same bytes. Another version: others.
	bytesOf := func(i *image) []byte {
		b, err := os.ReadFile(i.at("/out/antchat"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	once := bytesOf(built["amd64"])
	if !bytes.Equal(once, bytesOf(build(t, stages, "amd64", version))) {
		t.Error("two builds differ")
	}
	if bytes.Equal(once, bytesOf(build(t, stages, "amd64", "v1"))) {
		t.Error("the version is not in it")
	}
	for arch, i := range built {
		if !native(arch) {
			continue
		}
		out, err := exec.CommandContext(t.Context(), i.at("/out/antchat"), "version").Output()
		if err != nil || !strings.HasPrefix(string(out), "antchat "+version+" ") {
			t.Errorf("%s, %v", out, err)
		}
	}
}

// finalStage checks what the image consists of.
func finalStage(t *testing.T, stage instructions.Stage, from *image) {
	t.Helper()
	env, user := map[string]string{}, ""
	files := map[string]string{} // in the image → in the first stage
	var check, entry []string
	var ports, volumes []string
	for _, c := range stage.Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			if c.From != "build" || len(c.SourcePaths) != 1 {
				t.Fatalf("%v", c)
			}
			files[c.DestPath] = c.SourcePaths[0]
			if c.DestPath == "/data" && c.Chown != "65532:65532" {
				t.Errorf("/data belongs to %q", c.Chown)
			}
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EnvCommand:
			for _, e := range c.Env {
				env[e.Key] = e.Value
			}
		case *instructions.HealthCheckCommand:
			check = c.Health.Test
		case *instructions.EntrypointCommand:
			entry = c.CmdLine
		case *instructions.ExposeCommand:
			ports = c.Ports
		case *instructions.VolumeCommand:
			volumes = c.Volumes
		default:
			t.Errorf("an empty image cannot %s", c.Name())
		}
	}
	for in, source := range files {
		// The certificates are the base image's, which is not here.
		if strings.HasPrefix(source, "/etc/ssl/") {
			continue
		}
		if _, err := os.Stat(from.at(source)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	if user != "65532:65532" || !slices.Equal(entry, []string{"/antchat"}) || !slices.Equal(check, []string{"CMD", "/antchat", "healthcheck"}) || files["/antchat"] == "" {
		t.Errorf("user %s, starts %v, asks %v", user, entry, check)
	}
	in := settings(t, "ANTCHAT_DATA_DIR="+env["ANTCHAT_DATA_DIR"])
	if in["data.dir"] != "/data" || !slices.Equal(volumes, []string{"/data"}) || !slices.Equal(ports, []string{in["http.port"]}) {
		t.Errorf("%v, volumes %v, ports %v", env, volumes, ports)
	}
}

func TestDockerfileTyposFail(t *testing.T) {
	text := read(t, "Dockerfile")
	for from, to := range map[string]string{"HEALTHCHECK --interval=10s": "HEALTHCHECK --intervall=10s", "COPY --from=build": "COPY --form=build", "ENTRYPOINT [": "ENTRYPONT [", "ARG TARGETARCH": "AGR TARGETARCH"} {
		changed := strings.Replace(text, from, to, 1)
		if changed == text {
			t.Fatalf("%q is not there", from)
		}
		if _, err := dockerfile(t, changed); err == nil {
			t.Errorf("%q passes", to)
		}
	}
}
