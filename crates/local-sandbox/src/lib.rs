//! Sealed execution of AI-written Python on plain Linux: no root, no container, no KVM.
