variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the service and of Redis: near the users, and both the same."
  type        = string
}

variable "image" {
  description = "Image, such as europe-west1-docker.pkg.dev/PROJECT/antchat/antchat:v1."
  type        = string
}

variable "name" {
  description = "Name of the service and of everything around it."
  type        = string
  default     = "antchat"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "2 to 20 of a-z 0-9 -, beginning with a letter."
  }
}

variable "min_instances" {
  description = "Instances that are always there. Two, so that one's end finds the other warm; they are billed day and night, like every instance that has a connection."
  type        = number
  default     = 2
}

variable "max_instances" {
  description = "Instances at most: the bill's upper bound. Times concurrency it is the most clients; count on 600 each."
  type        = number
  default     = 100
  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000
    error_message = "1 to 1,000."
  }
}

variable "concurrency" {
  description = "Connections of an instance. Each WebSocket and each waiting poll takes one; 1,000 is Cloud Run's limit."
  type        = number
  default     = 1000
  validation {
    condition     = var.concurrency >= 2 && var.concurrency <= 1000
    error_message = "2 to 1,000."
  }
}

variable "redis_tier" {
  description = "STANDARD_HA has a replica, which confirms each message; BASIC has none."
  type        = string
  default     = "STANDARD_HA"
  validation {
    condition     = contains(["STANDARD_HA", "BASIC"], var.redis_tier)
    error_message = "STANDARD_HA or BASIC."
  }
}

variable "redis_memory_gib" {
  description = "Memory of Redis: docs/operations.md says what takes how much."
  type        = number
  default     = 5
}

variable "subnet_range" {
  description = "Range of the subnetwork: four addresses for each instance, which is what Direct VPC egress takes while one revision replaces another."
  type        = string
  default     = "10.8.0.0/23"
}

variable "connector" {
  description = "Reach Redis through a Serverless VPC Access connector instead of Direct VPC egress, which is faster and costs nothing by itself."
  type        = bool
  default     = false
}

variable "connector_range" {
  description = "Range of the connector, a /28."
  type        = string
  default     = "10.9.0.0/28"
}

variable "public" {
  description = "Let everybody call the service: browsers cannot show a Google identity."
  type        = bool
  default     = true
}
