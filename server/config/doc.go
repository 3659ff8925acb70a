// Package config reads the program's settings: defaults, then a YAML file,
// then the environment, then flags; each beats those before it.
//
// One table (settings.go, its rows in settings_*.go) says for each setting its
// name, where in [Config] it goes, its default, unit, limits and meaning. Reading,
// checking, --help and --print-config are all made from that table, so that they
// cannot disagree.
//
// Nothing else in the program reads a flag, a file of settings or the
// environment, and nothing but main reads this package: the other packages
// have options of their own, which main fills.
package config
