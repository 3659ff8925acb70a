output "url" {
  description = "Address of the service."
  value       = google_cloud_run_v2_service.chat.uri
}

output "redis_host" {
  description = "Address of Redis inside the network."
  value       = google_redis_instance.chat.host
}
