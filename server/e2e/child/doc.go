// Package child starts the programs that tests and measurements need beside
// them: servers, proxies, Redis. Each is a [Process], which can be hurt, ended
// and started again; a [Redis] is one with an address that can be asked. What
// they are made to do, and what is read of it, is their callers'.
//
// On Linux a child ends with the program that started it, however that ends.
package child
