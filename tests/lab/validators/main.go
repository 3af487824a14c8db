// Runs the validators of kubeadm's SystemVerification on this machine, as kubeadm runs them, and prints what they
// refuse and what they warn of as one JSON document.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"

	system "k8s.io/system-validators/validators"
)

func texts(errors []error) []string {
	found := []string{}
	for _, each := range errors {
		found = append(found, each.Error())
	}
	return found
}

func main() {
	reporter := &system.StreamReporter{WriteStream: bufio.NewWriter(io.Discard)}
	validators := []system.Validator{
		&system.KernelValidator{Reporter: reporter},
		&system.OSValidator{Reporter: reporter},
		&system.CgroupsValidator{Reporter: reporter},
	}
	found := map[string][]string{"refused": {}, "warned": {}}
	for _, each := range validators {
		warned, refused := each.Validate(system.DefaultSysSpec)
		found["refused"] = append(found["refused"], texts(refused)...)
		found["warned"] = append(found["warned"], texts(warned)...)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		os.Exit(1)
	}
}
