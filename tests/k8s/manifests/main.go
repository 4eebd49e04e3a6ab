// Renders a kustomization as `kubectl kustomize` does, and checks each document as the API server would.
//
// manifests DIR prints the documents as a JSON list. If one has a field that its type does not have, or a value that the server
// would refuse, it says so and exits with status 1.
//
// The types, their defaults and what is checked are Kubernetes' own (k8s.io/kubernetes), and cert-manager's: a schema says which
// fields there are, but not that a mount has its volume, nor what the namespace's standard for pods forbids.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func complaint(err error) field.ErrorList {
	if err == nil {
		return nil
	}
	return field.ErrorList{field.InternalError(nil, err)}
}

// The server takes a StatefulSet whose pods and disks it then refuses: both are checked as the controller would make them.
func podComplaints(set *apps.StatefulSet) field.ErrorList {
	path := field.NewPath("spec")
	pods := set.Spec.Template.DeepCopy()
	var list field.ErrorList
	for _, claim := range set.Spec.VolumeClaimTemplates {
		pods.Spec.Volumes = append(pods.Spec.Volumes, core.Volume{Name: claim.Name, VolumeSource: core.VolumeSource{
			PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
		}})
		list = append(list, corevalidation.ValidatePersistentVolumeClaimSpec(&claim.Spec, path.Child("volumeClaimTemplates", "spec"),
			corevalidation.PersistentVolumeClaimSpecValidationOptions{})...)
	}
	return append(list, corevalidation.ValidatePodTemplateSpec(pods, path.Child("template"), corevalidation.PodValidationOptions{})...)
}

// An unknown kind is a complaint, so that no document goes unchecked.
func complaints(object runtime.Object) field.ErrorList {
	switch object := object.(type) {
	case *core.Namespace:
		return corevalidation.ValidateNamespace(object)
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(object)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(object)
	case *core.Service:
		if object.Spec.ClusterIP != "" { // the server copies it before it checks
			object.Spec.ClusterIPs = []string{object.Spec.ClusterIP}
		} else {
			object.Spec.ClusterIP = "10.0.0.1" // the server allocates one
			object.Spec.ClusterIPs = []string{"10.0.0.1"}
		}
		return corevalidation.ValidateServiceCreate(object)
	case *apps.StatefulSet:
		list := appsvalidation.ValidateStatefulSet(object, corevalidation.PodValidationOptions{})
		return append(list, podComplaints(object)...)
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(object, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(object, networkingvalidation.NetworkPolicyValidationOptions{})
	case *cmapi.Certificate:
		_, err := pki.GenerateCSR(object)
		return complaint(err)
	case *cmapi.Issuer:
		return nil
	}
	return complaint(fmt.Errorf("no check is known for %T", object))
}

// What the strictest of the standards for pods forbids, to which the namespace holds ours.
func privileges(set *appsv1.StatefulSet) error {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks())
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	pods := set.Spec.Template
	result := podsecurity.AggregateCheckResults(evaluator.EvaluatePod(level, &pods.ObjectMeta, &pods.Spec))
	if !result.Allowed {
		return fmt.Errorf("not restricted: %s", result.ForbiddenDetail())
	}
	return nil
}

// As the server has it before it checks: strictly read, with defaults, in the version that it works with. Cert-manager has but one.
func internal(strict runtime.Decoder, document []byte) (runtime.Object, error) {
	object, kind, err := strict.Decode(document, nil, nil)
	if err != nil || kind.Group == cmapi.SchemeGroupVersion.Group {
		return object, err
	}
	legacyscheme.Scheme.Default(object)
	if set, found := object.(*appsv1.StatefulSet); found {
		if err := privileges(set); err != nil {
			return nil, err
		}
	}
	return legacyscheme.Scheme.ConvertToVersion(object, schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal})
}

func check(directory string) ([]json.RawMessage, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	if err := cmapi.AddToScheme(legacyscheme.Scheme); err != nil {
		return nil, err
	}
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	var documents []json.RawMessage
	failed := false
	for _, resource := range rendered.Resources() {
		document, err := resource.MarshalJSON()
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
		object, err := internal(strict.UniversalDeserializer(), document)
		list := complaint(err)
		if err == nil {
			list = complaints(object)
		}
		for _, one := range list {
			failed = true
			fmt.Fprintf(os.Stderr, "%s %s: %s\n", resource.GetKind(), resource.GetName(), one)
		}
	}
	if failed {
		return nil, fmt.Errorf("%s would be refused", directory)
	}
	return documents, nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manifests DIR")
		os.Exit(2)
	}
	documents, err := check(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(documents)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
