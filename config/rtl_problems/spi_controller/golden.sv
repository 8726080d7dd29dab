module spi_controller (
  input  logic       clk,
  input  logic       rst,
  input  logic       start,
  input  logic [7:0] tx_data,
  output logic       busy,
  output logic       done,
  output logic [7:0] rx_data,
  output logic       cs_n,
  output logic       sclk,
  output logic       mosi,
  input  logic       miso
);
  logic [7:0] to_send, received;
  logic [5:0] count;
  logic       unused;

  assign unused = to_send[7];

  always_ff @(posedge clk) begin
    done <= 1'b0;
    if (rst) begin
      busy  <= 1'b0;
      cs_n  <= 1'b1;
      sclk  <= 1'b0;  // rest
      mosi  <= 1'b0;
    end else if (!busy) begin
      if (start) begin
        busy    <= 1'b1;
        cs_n    <= 1'b0;
        mosi  <= tx_data[7];
        to_send <= tx_data;
        count   <= 6'd1;
      end
    end else begin
      // count is the number of this edge
      count <= count + 6'd1;
      if (count == 6'd34) begin
        busy    <= 1'b0;
        done    <= 1'b1;
        cs_n    <= 1'b1;
        rx_data <= received;
      end else begin
        if (count[1:0] == 2'd2) begin
          received <= {received[6:0], miso};
          sclk     <= 1'b1;
        end
        if (count[1:0] == 2'd0) begin
          sclk    <= 1'b0;
          mosi    <= to_send[6];
          to_send <= to_send << 1;
        end
      end
    end
  end
endmodule
