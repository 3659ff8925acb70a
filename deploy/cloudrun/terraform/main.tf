# What deploy.sh makes, and the values of service.yaml; the reasons are there.
# terraform apply -var project=ID -var region=REGION -var image=IMAGE
#
# The state holds Redis's password: keep it where only operators read.

locals {
  apis = concat(
    ["run.googleapis.com", "redis.googleapis.com", "secretmanager.googleapis.com", "compute.googleapis.com", "iam.googleapis.com"],
    var.connector ? ["vpcaccess.googleapis.com"] : [],
  )
}

resource "google_project_service" "api" {
  for_each           = toset(local.apis)
  service            = each.value
  disable_on_destroy = false
}

resource "google_compute_network" "chat" {
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.api]
}

resource "google_compute_subnetwork" "chat" {
  count                    = var.connector ? 0 : 1
  name                     = var.name
  network                  = google_compute_network.chat.id
  region                   = var.region
  ip_cidr_range            = var.subnet_range
  private_ip_google_access = true
}

resource "google_vpc_access_connector" "chat" {
  count         = var.connector ? 1 : 0
  name          = var.name
  region        = var.region
  network       = google_compute_network.chat.name
  ip_cidr_range = var.connector_range
  machine_type  = "e2-micro"
  min_instances = 2
  max_instances = 10
  depends_on    = [google_project_service.api]
}

resource "google_redis_instance" "chat" {
  name               = var.name
  region             = var.region
  tier               = var.redis_tier
  memory_size_gb     = var.redis_memory_gib
  redis_version      = "REDIS_7_2"
  authorized_network = google_compute_network.chat.id
  connect_mode       = "DIRECT_PEERING"
  auth_enabled       = true
  # A full Redis refuses instead of forgetting rooms: its default is
  # volatile-lru.
  redis_configs = {
    maxmemory-policy = "noeviction"
  }
  # For what no replica helps against.
  persistence_config {
    persistence_mode    = "RDB"
    rdb_snapshot_period = "ONE_HOUR"
  }
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_secret_manager_secret" "redis_url" {
  secret_id = "${var.name}-redis-url"
  replication {
    auto {}
  }
  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "redis_url" {
  secret      = google_secret_manager_secret.redis_url.id
  secret_data = "redis://:${google_redis_instance.chat.auth_string}@${google_redis_instance.chat.host}:${google_redis_instance.chat.port}"
}

resource "google_service_account" "chat" {
  account_id   = var.name
  display_name = "${var.name} on Cloud Run"
  depends_on   = [google_project_service.api]
}

# The only right of the account.
resource "google_secret_manager_secret_iam_member" "redis_url" {
  secret_id = google_secret_manager_secret.redis_url.id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.chat.email}"
}

resource "google_cloud_run_v2_service" "chat" {
  name     = var.name
  location = var.region
  ingress  = "INGRESS_TRAFFIC_ALL"

  template {
    service_account                  = google_service_account.chat.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    session_affinity                 = false
    max_instance_request_concurrency = var.concurrency
    timeout                          = "3600s"

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    vpc_access {
      egress    = "PRIVATE_RANGES_ONLY"
      connector = var.connector ? google_vpc_access_connector.chat[0].id : null
      dynamic "network_interfaces" {
        for_each = var.connector ? [] : [true]
        content {
          network    = google_compute_network.chat.name
          subnetwork = google_compute_subnetwork.chat[0].name
        }
      }
    }

    containers {
      image = var.image

      ports {
        name           = "http1"
        container_port = 8080
      }

      env {
        name = "REDIS_URL"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.redis_url.secret_id
            version = google_secret_manager_secret_version.redis_url.version
          }
        }
      }
      env {
        name  = "ANTCHAT_HTTP_TRUSTED_PROXIES"
        value = "1"
      }
      env {
        name  = "ANTCHAT_ENGINE_MAX_SESSIONS"
        value = "2000"
      }
      env {
        name  = "ANTCHAT_LOG_ACK_REPLICAS"
        value = var.redis_tier == "STANDARD_HA" ? "1" : "0"
      }
      env {
        name  = "GOMEMLIMIT"
        value = "460MiB"
      }

      resources {
        # CPU always, not only while a request is answered.
        cpu_idle          = false
        startup_cpu_boost = true
        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 60
        http_get {
          path = "/readyz"
          port = 8080
        }
      }
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 3
        failure_threshold = 3
        http_get {
          path = "/healthz"
          port = 8080
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.redis_url]
}

resource "google_cloud_run_v2_service_iam_member" "public" {
  count    = var.public ? 1 : 0
  name     = google_cloud_run_v2_service.chat.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}
