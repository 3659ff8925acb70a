// Package check holds what an operator runs against what it is written for:
// manifests and compose file are decoded strictly by their own types, Terraform
// is parsed and its names resolved, the Dockerfile's build steps are run, and
// the script for Cloud Run meets a gcloud that records.
//
// It is a module of its own, so that the libraries for that are not the
// product's dependencies. Run it with make check-deploy.
package check
