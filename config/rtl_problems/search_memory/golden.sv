module search_memory (
  input  logic        clk,
  input  logic        rst,
  input  logic        write,
  input  logic [2:0]  write_index,
  input  logic        write_valid,
  input  logic [15:0] write_key,
  input  logic [15:0] write_care,
  input  logic [15:0] search_key,
  output logic        hit,
  output logic        multiple,
  output logic [2:0]  hit_index
);
  logic [15:0] key[0:7], care[0:7];
  logic [7:0]  valid, match;

  always_ff @(posedge clk) begin
    if (rst) begin
      valid <= 8'd0;
    end else if (write) begin
      valid[write_index] <= write_valid;
      key[write_index]   <= write_key;
      care[write_index]  <= write_care;
    end
  end

  for (genvar i = 0; i < 8; i++) begin : g_match
    assign match[i] = valid[i] && ((search_key ^ key[i]) & care[i]) == 16'd0;
  end

  always_comb begin
    hit = 1'b0;
    multiple = 1'b0;
    hit_index = 3'd0;
    for (int i = 7; i >= 0; i--) begin
      if (match[i]) begin
        multiple = hit || multiple;
        hit = 1'b1;
        hit_index = i[2:0];
      end
    end
  end
endmodule
