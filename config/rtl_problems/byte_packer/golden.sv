module byte_packer (
  input  logic        clk,
  input  logic        rst,
  input  logic        in_valid,
  output logic        in_ready,
  input  logic [7:0]  in_data,
  input  logic        in_last,
  output logic        out_valid,
  input  logic        out_ready,
  output logic [31:0] out_data,
  output logic [3:0]  out_keep,
  output logic        out_last
);
  logic [31:0] collected, word;
  logic [1:0]  position;
  logic        complete;

  assign in_ready = !out_valid || out_ready;
  assign word     = collected | ({24'd0, in_data} << {position, 3'd0});
  assign complete = position == 2'd3 || in_last;

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      collected <= 32'd0;
      position  <= 2'd0;
    end else begin
      if (out_ready) out_valid <= 1'b0;
      if (in_valid && in_ready) begin
        collected <= complete ? 32'd0 : word;
        position <= complete ? 2'd0 : position + 2'd1;
        if (complete) begin
          out_valid <= 1'b1;
          out_data  <= word;
          out_keep  <= 4'b1111 >> (2'd3 - position);
          out_last  <= in_last;
        end
      end
    end
  end
endmodule
